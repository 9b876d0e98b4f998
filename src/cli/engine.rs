//! `engine run|start|status|stop|drain`.

//! Signals, as the console takes them.

use std::io;
use std::task::{Context, Poll};

use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    End,
    /// From the keyboard: while another program has the terminal, it is for that.
    Interrupt,
    HangUp,
    Stop,
    Continue,
    Size,
}

type Source = dyn FnMut(&mut Context<'_>) -> Poll<Event>;

/// Where they come from: polled until one is there.
pub struct Signals(Box<Source>);

impl Signals {
    pub fn of(poll: impl FnMut(&mut Context<'_>) -> Poll<Event> + 'static) -> Self {
        Self(Box::new(poll))
    }

    /// Those of this process. Needs a tokio runtime.
    pub fn own() -> io::Result<Self> {
        let on = |event, kind| Ok::<_, io::Error>((event, signal(kind)?));
        let mut all = [
            on(Event::End, SignalKind::terminate())?,
            on(Event::HangUp, SignalKind::hangup())?,
            on(Event::Interrupt, SignalKind::interrupt())?,
            on(Event::Interrupt, SignalKind::quit())?,
            on(Event::Stop, SignalKind::from_raw(libc::SIGTSTP))?,
            on(Event::Continue, SignalKind::from_raw(libc::SIGCONT))?,
            on(Event::Size, SignalKind::window_change())?,
        ];
        Ok(Self::of(move |cx| {
            let came = all.iter_mut().find_map(|(event, signal)| signal.poll_recv(cx).is_ready().then_some(*event));
            came.map_or(Poll::Pending, Poll::Ready)
        }))
    }

    pub async fn next(&mut self) -> Event {
        std::future::poll_fn(|cx| (self.0)(cx)).await
    }
}

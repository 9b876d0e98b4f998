//! quarterdeck: a terminal console and job runner for people who run thousands of CentOS Stream hosts.
//!
//! The rooms and their floors are described in ARCHITECTURE.md; `tests/layering.rs` holds the code to them.

pub mod action;
pub mod api;
pub mod base;
pub mod cli;
pub mod config;
pub mod console;
pub mod demo;
pub mod domain;
pub mod engine;
pub mod pipeline;
pub mod runner;
pub mod secret;
pub mod steps;
pub mod store;
pub mod systems;
pub mod theme;
pub mod wire;

//! Every integration test of the binary, in one test program; one module a subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod api;
mod arming;
mod artifacts;
mod audit;
mod chaos_check;
mod checkout;
mod cli;
mod client_gone;
mod content;
mod contract;
mod demo_hostile;
mod demo_nightly;
mod demo_tools;
mod demo_upstream;
mod doctor;
mod engine;
mod guard;
mod history;
mod import;
mod interop;
mod invariants;
mod logs;
mod mirror;
mod people;
mod pipelines;
mod prover;
mod prover_switch;
mod runner;
mod schedule;
mod secrets;
mod service;
mod shim;
mod support;
mod surroundings;
mod upgrade;

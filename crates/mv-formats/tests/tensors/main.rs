//! Files with tensors: those of the real libraries, and those that lie.

mod build;
mod fixtures;
mod hostile;
mod layout;
mod memory;

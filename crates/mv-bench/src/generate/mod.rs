//! What is measured: one file for each kind of workload, all of it from fixed seeds.

pub(crate) mod adam;
pub(crate) mod container;
pub(crate) mod int8;
pub(crate) mod large;
pub(crate) mod records;
pub(crate) mod run;
pub(crate) mod small;
pub(crate) mod table;

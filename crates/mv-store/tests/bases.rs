//! Blocks that are coded against other objects: what goes in comes out, whatever is joined, merged,
//! sent, damaged or made up.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod bases {
    mod lab;

    mod damage;
    mod forms;
    mod hostile;
    mod joining;
    mod outlines;
    mod reading;
}

//! Sharing, seen from outside: what travels between two who use one shared directory, what a part
//! of a repository holds, what happens when many push at once, and what a hostile remote can do.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod sharing {
    mod team;
    mod wire;

    mod bombs;
    mod coded;
    mod hostile;
    mod names;
    mod partial;
    mod places;
    mod races;
    mod rewound;
    mod story;
    mod tags;
    mod transfer;
}

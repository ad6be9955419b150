#![no_main]

mv_fuzz::target!("seen");

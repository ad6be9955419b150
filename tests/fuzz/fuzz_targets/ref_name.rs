#![no_main]

mv_fuzz::target!("ref_name");

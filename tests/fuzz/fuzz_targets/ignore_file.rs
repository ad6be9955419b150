#![no_main]

mv_fuzz::target!("ignore_file");

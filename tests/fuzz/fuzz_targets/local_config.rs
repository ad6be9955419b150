#![no_main]

mv_fuzz::target!("local_config");

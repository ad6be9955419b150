#![no_main]

mv_fuzz::target!("stat_cache");

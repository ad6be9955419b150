#![no_main]

mv_fuzz::target!("table_ranges");

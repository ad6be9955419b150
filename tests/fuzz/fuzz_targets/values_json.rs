#![no_main]

mv_fuzz::target!("values_json");

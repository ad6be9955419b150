#![no_main]

mv_fuzz::target!("checkout_mark");

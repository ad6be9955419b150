#![no_main]

mv_fuzz::target!("project_config");

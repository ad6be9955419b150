//! One line a fuzz target: the properties are those of `mv-properties`.

pub use libfuzzer_sys;
pub use mv_properties;

/// The program that lets libFuzzer look for bytes that break the promises of the target of this name,
/// with an allocator that counts what is held.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        #[global_allocator]
        static METER: $crate::mv_properties::Meter = $crate::mv_properties::Meter;

        static CHECK: std::sync::LazyLock<fn(&[u8])> = std::sync::LazyLock::new(|| {
            $crate::mv_properties::find($name).expect("it is in the list of targets").check
        });

        $crate::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| CHECK(bytes));
    };
}

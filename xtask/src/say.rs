//! Printing that survives a closed pipe: `cargo xtask demo | head` must still end what it started.

/// A line on standard output; nobody there to read it is no reason to stop.
macro_rules! say {
    ($($words:tt)*) => {
        // Under test through the macro that libtest can capture.
        if cfg!(test) {
            println!($($words)*);
        } else {
            use std::io::Write as _;
            let _ = writeln!(std::io::stdout(), $($words)*);
        }
    };
}

/// The same on standard error.
macro_rules! complain {
    ($($words:tt)*) => {
        if cfg!(test) {
            eprintln!($($words)*);
        } else {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), $($words)*);
        }
    };
}

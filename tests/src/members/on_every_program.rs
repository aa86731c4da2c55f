//! One test per case and program.

/// Makes a module of tests per program that forms clusters: ferretcd and etcd 3.7. `name => function(arguments)`
/// becomes a test `name` that awaits `function::<P>(arguments)`, with `P` the [`Program`](crate::Program); `function`
/// stands in the module that uses the macro.
#[macro_export]
macro_rules! on_every_program {
    ($($cases:tt)*) => {
        $crate::on_program! { ferretcd: $crate::Ferretcd, $($cases)* }
        $crate::on_program! { etcd37: $crate::Etcd37, $($cases)* }
    };
}

/// The part of [`on_every_program!`] for one program.
#[doc(hidden)]
#[macro_export]
macro_rules! on_program {
    ($target:ident: $program:ty, $($name:ident => $function:ident($($argument:expr),*),)*) => {
        mod $target {
            $(
                // Proxies and clients must go on while a test computes.
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if $crate::report::available::<$crate::Process<$program>>(stringify!($name)) {
                        super::$function::<$program>($($argument),*).await;
                    }
                }
            )*
        }
    };
}

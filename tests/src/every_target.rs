//! One test per suite and target.

/// Makes a module of tests per target. `name => function(arguments)` becomes a test `name` that awaits
/// `function::<C>(arguments)`, with `C` the [`Cluster`](crate::Cluster) of the target; `function` stands in the
/// module that uses the macro.
#[macro_export]
macro_rules! on_every_target {
    ($($suites:tt)*) => {
        $crate::on_target! { in_process: $crate::InProcess, $($suites)* }
        $crate::on_every_process! { $($suites)* }
    };
}

/// [`on_every_target!`] for suites whose `C` is to be [`Killable`](crate::Killable).
#[macro_export]
macro_rules! on_every_process {
    ($($suites:tt)*) => {
        $crate::on_target! { ferretcd: $crate::Process<$crate::Ferretcd>, $($suites)* }
        $crate::on_target! { etcd34: $crate::Process<$crate::Etcd34>, $($suites)* }
        $crate::on_target! { etcd37: $crate::Process<$crate::Etcd37>, $($suites)* }
    };
}

/// The part of [`on_every_target!`] for one target.
#[doc(hidden)]
#[macro_export]
macro_rules! on_target {
    ($target:ident: $cluster:ty, $($name:ident => $function:ident($($argument:expr),*),)*) => {
        mod $target {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$function::<$cluster>($($argument),*).await;
                }
            )*
        }
    };
}

//! Sends parcels.

use std::fmt::{self, Display};

/// A thing to send.
#[derive(Debug, Clone)]
// Plain comment.
pub struct Parcel<'a, T: Display> {
    pub weight: f64,
    label: &'a T,
}

pub struct Meters(f64);

impl<'a, T> Parcel<'a, T>
where
    T: Display,
{
    pub const LIMIT: usize = 20;

    /// Weighs it.
    ///
    /// # Errors
    /// Never.
    #[inline]
    #[must_use]
    pub async fn weigh(&self) -> Result<f64, Error> {
        fn round(x: f64) -> f64 { x }
        Ok(round(self.weight))
    }

    pub(crate) unsafe extern "C" fn raw() {}
}

impl<T> fmt::Display for Wrapper<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { Ok(()) }
}

impl Iterator for &mut crate::Cursor {
    type Item = u8;
    fn next(&mut self) -> Option<u8> { None }
}

pub trait Sender: Send + 'static {
    type Error;
    fn send(&self, parcel: Parcel<'_, str>) -> Result<(), Self::Error>;
    fn close(&mut self) {}
}

pub enum Size { Small, Large { limit: u8 } }

pub type Shared<T> = std::sync::Arc<T>;

/// Builds parcels.
#[macro_export]
macro_rules! parcels {
    ($($weight:expr),*) => { vec![$(Parcel::new($weight)),*] };
}

union Bits { int: u32, float: f32 }

extern "C" { fn external(x: i32) -> i32; }

mod inner {
    //! Inside.
    pub fn helper<F: Fn() -> u8>(f: F) -> u8 { f() }
}

#[cfg(test)]
mod tests {
    #[test]
    fn works() { assert!(true); }
}

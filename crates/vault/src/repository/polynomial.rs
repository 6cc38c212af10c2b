//! Polynomials over GF(2) in the bits of an integer: stock restic demands an irreducible one.

/// Degree of the polynomials that restic's Rabin fingerprint works with.
const DEGREE: u32 = 53;

/// A random irreducible polynomial of degree 53. About one odd candidate in 27 is one, so this
/// ends soon with overwhelming probability.
pub(super) fn random() -> u64 {
    loop {
        let low = rand::random::<u64>() & ((1 << DEGREE) - 1);
        let candidate = (1 << DEGREE) | low | 1;
        if is_irreducible(candidate) {
            return candidate;
        }
    }
}

/// Ben-Or's test: no factor in common with `x^(2^i) - x` for any `i` up to half the degree.
pub(super) fn is_irreducible(polynomial: u64) -> bool {
    const X: u64 = 2;
    let Some(degree) = degree(polynomial) else { return false };
    let mut power = X;
    (0..degree / 2).all(|_| {
        power = multiply_mod(power, power, polynomial);
        gcd(polynomial, power ^ X) == 1
    })
}

fn degree(polynomial: u64) -> Option<u32> {
    polynomial.checked_ilog2()
}

fn remainder(mut a: u128, modulus: u64) -> u64 {
    let width = modulus.ilog2();
    while a >> width != 0 {
        a ^= u128::from(modulus) << (a.ilog2() - width);
    }
    // What is left has fewer bits than the modulus.
    a as u64
}

fn multiply_mod(a: u64, b: u64, modulus: u64) -> u64 {
    let bits = (0..u64::BITS).filter(|bit| b >> bit & 1 == 1);
    remainder(bits.fold(0, |sum, bit| sum ^ (u128::from(a) << bit)), modulus)
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, remainder(u128::from(a), b));
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_irreducible_polynomials_from_products() {
        for irreducible in [0b111, 0b1011, 0b1_0011, 0x11b, 0x3DA3358B4DC173] {
            assert!(is_irreducible(irreducible), "{irreducible:x}");
        }
        for product in [0b101, 0b110, 0x11b << 1, 0x38f1e565e288df] {
            assert!(!is_irreducible(product), "{product:x}");
        }
    }

    #[test]
    fn random_ones_are_odd_irreducible_and_of_degree_53() {
        for _ in 0..8 {
            let polynomial = random();
            assert_eq!((polynomial.ilog2(), polynomial & 1), (53, 1));
            assert!(is_irreducible(polynomial));
        }
    }
}

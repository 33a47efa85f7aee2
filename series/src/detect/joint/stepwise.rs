//! The matrix operations of a fit, cut into steps between which somebody may look whether to go on. The results are those of
//! nalgebra's own, operation by operation.

use nalgebra::{Cholesky, DMatrix, Dyn};

use super::JointError;

/// Called between two steps. It may end the fit by unwinding.
pub type Pause<'a> = &'a mut dyn FnMut();

/// Rows of a product that are one step.
const ROWS: usize = 64;

/// A'B, a step per column.
pub(super) fn transposed_product(a: &DMatrix<f64>, b: &DMatrix<f64>, pause: Pause<'_>) -> DMatrix<f64> {
    let mut product = DMatrix::zeros(a.ncols(), b.ncols());
    for (mut column, b) in product.column_iter_mut().zip(b.column_iter()) {
        pause();
        column.copy_from(&a.tr_mul(&b));
    }
    product
}

/// AB, a step per so many rows.
pub(super) fn product(a: &DMatrix<f64>, b: &DMatrix<f64>, pause: Pause<'_>) -> DMatrix<f64> {
    let mut product = DMatrix::zeros(a.nrows(), b.ncols());
    for start in (0..a.nrows()).step_by(ROWS) {
        pause();
        let length = ROWS.min(a.nrows() - start);
        product.rows_mut(start, length).gemm(1.0, &a.rows(start, length), b, 0.0);
    }
    product
}

/// The factor of a symmetric matrix, of which the lower triangle is read, a step per column.
pub(super) fn cholesky(mut matrix: DMatrix<f64>, pause: Pause<'_>) -> Result<Cholesky<f64, Dyn>, JointError> {
    let n = matrix.ncols();
    for j in 0..n {
        pause();
        for k in 0..j {
            let factor = -matrix[(j, k)];
            let (mut column, left) = matrix.columns_range_pair_mut(j, k);
            column.rows_range_mut(j..).axpy(factor, &left.rows_range(j..), 1.0);
        }
        let diagonal = matrix[(j, j)];
        if diagonal.is_nan() || diagonal <= 0.0 {
            return Err(JointError::Singular);
        }
        let root = diagonal.sqrt();
        matrix[(j, j)] = root;
        matrix.view_range_mut(j + 1.., j).unscale_mut(root);
    }
    Ok(Cholesky::pack_dirty(matrix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, columns: usize) -> DMatrix<f64> {
        DMatrix::from_fn(rows, columns, |i, j| ((i * 7 + j * 3) as f64).sin() + 0.1 * (i as f64 * j as f64).cos())
    }

    #[test]
    fn results_are_those_in_one_step() {
        let (a, b) = (matrix(1000, 37), matrix(1000, 11));
        let mut steps = 0;
        let mut count = || steps += 1;
        let normal = transposed_product(&a, &a, &mut count);
        assert_eq!(normal, a.tr_mul(&a));
        assert_eq!(transposed_product(&a, &b, &mut count), a.tr_mul(&b));
        let weights = matrix(37, 11);
        assert!((product(&a, &weights, &mut count) - &a * &weights).amax() < 1e-12);
        let normal = normal + DMatrix::identity(37, 37);
        let factor = cholesky(normal.clone(), &mut count).unwrap();
        assert_eq!(factor.l(), Cholesky::new(normal).unwrap().l());
        assert_eq!(steps, 37 + 11 + 1000_usize.div_ceil(ROWS) + 37);
    }

    #[test]
    fn what_has_no_factor_is_an_error() {
        let broken = DMatrix::from_row_slice(2, 2, &[1.0, 2.0, 2.0, 1.0]);
        assert_eq!(cholesky(broken, &mut || {}).err(), Some(JointError::Singular));
        let nan = DMatrix::from_element(2, 2, f64::NAN);
        assert_eq!(cholesky(nan, &mut || {}).err(), Some(JointError::Singular));
    }
}

//! Rows made of integer arithmetic alone, so that they are the same everywhere: thousandths, divided once at the end.

/// A linear congruential generator with Knuth's multiplier.
pub struct Noise(pub u64);

impl Noise {
    /// 0 to 1023.
    pub fn next(&mut self) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 54) as i64
    }

    /// About normal, with mean 0 and standard deviation 591.
    pub fn gauss(&mut self) -> i64 {
        (0..4).map(|_| self.next()).sum::<i64>() - 2046
    }
}

/// -300 to 300 and back within `period`.
pub fn triangle(i: i64, period: i64) -> i64 {
    ((i * 1200 / period) % 1200 - 600).abs() - 300
}

pub const PLANT_SENSORS: usize = 8;

/// A plant of eight measured sensors, one row a second: common waves, a random walk (3), autoregression (6). From row 600
/// to 699 sensor 2 is 3 higher, from row 760 on sensor 4 is 2.5 higher, in rows 900 to 905 sensor 0 has the wrong sign.
pub fn plant(rows: usize, with_faults: bool) -> Vec<f64> {
    let (mut noise, mut walk, mut slow) = (Noise(1), 0, 0);
    let mut values = Vec::with_capacity(rows * PLANT_SENSORS);
    for i in 0..rows as i64 {
        let wave = triangle(i, 300);
        walk += noise.gauss() >> 4;
        slow = ((slow * 7) >> 3) + noise.gauss();
        let first = 50_000 + 8 * wave + noise.gauss();
        let mut row = [
            first,
            30_000 - 5 * wave + (noise.gauss() >> 1),
            12_000 + ((first - 50_000) >> 1) + (noise.gauss() >> 2),
            90_000 + walk + (noise.gauss() >> 5),
            5_000 + noise.gauss(),
            20_000 + 3 * triangle(i + 75, 300) + noise.gauss(),
            7_000 + slow,
            1_000_000 + 4 * wave + slow + noise.gauss(),
        ];
        if with_faults {
            row[2] += if (600..700).contains(&i) { 3_000 } else { 0 };
            row[4] += if i >= 760 { 2_500 } else { 0 };
            row[0] *= if (900..906).contains(&i) { -1 } else { 1 };
        }
        values.extend(row.map(|thousandths| thousandths as f64 / 1000.0));
    }
    values
}

pub const STATION_SENSORS: usize = 7;

/// A pumping station, one row an hour: two pumps (0, 1), their flows (2, 3), a tank's level (4), a pressure (5) and a valve
/// that never moves (6). From row 2200 to 2259 the first flow lacks 15 while its pump runs, in rows 2300 to 2309 and from
/// 2400 on the valve is at 5.2.
pub fn station(rows: usize, with_faults: bool) -> Vec<f64> {
    let mut noise = Noise(2);
    let (mut on, mut left, mut level) = ([1, 0], [3, 8], 30_000);
    let mut values = Vec::with_capacity(rows * STATION_SENSORS);
    for i in 0..rows as i64 {
        for (pump, (shortest, shift)) in [(5, 6), (9, 5)].into_iter().enumerate() {
            left[pump] -= 1;
            if left[pump] <= 0 {
                on[pump] = 1 - on[pump];
                left[pump] = shortest + (noise.next() >> shift);
            }
        }
        let day = triangle(i, 24);
        level += on[0] * 300 + on[1] * 200 - 250 - ((level - 30_000) >> 6) + (noise.gauss() >> 3);
        let mut row = [
            on[0] * 1000,
            on[1] * 1000,
            on[0] * 40_000 + 5 * day + noise.gauss(),
            on[1] * 25_000 + (noise.gauss() >> 1),
            level,
            40_000 + on[0] * 3_000 - 2 * day + noise.gauss(),
            5_000,
        ];
        if with_faults {
            row[2] -= if (2200..2260).contains(&i) { on[0] * 15_000 } else { 0 };
            row[6] += if (2300..2310).contains(&i) || i >= 2400 { 200 } else { 0 };
        }
        values.extend(row.map(|thousandths| thousandths as f64 / 1000.0));
    }
    values
}

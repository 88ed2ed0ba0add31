/** Resampling as `ecg/preprocessing.py` does it: scipy's resample_poly with padtype="line" and its Kaiser window. */

const KAISER_BETA = 5;
const LARGEST_DENOMINATOR = 1000n;

/** The nearest fraction with a denominator up to 1,000, as Python's Fraction.limit_denominator gives it. */
export function nearestFraction(value: number): [number, number] {
  const denominator = 1n << 80n;
  let [n, d] = [BigInt(value * 2 ** 80), denominator];
  let [p0, q0, p1, q1] = [0n, 1n, 1n, 0n];
  while (d > 0n) {
    const whole = n / d;
    const q2 = q0 + whole * q1;
    if (q2 > LARGEST_DENOMINATOR) break;
    [p0, q0, p1, q1] = [p1, q1, p0 + whole * p1, q2];
    [n, d] = [d, n - whole * d];
  }
  if (d === 0n) return [Number(p1), Number(q1)];
  const k = (LARGEST_DENOMINATOR - q0) / q1;
  const nearer = 2n * d * (q0 + k * q1) <= denominator;
  return nearer ? [Number(p1), Number(q1)] : [Number(p0 + k * p1), Number(q0 + k * q1)];
}

/** The modified Bessel function of order zero. */
function bessel0(x: number): number {
  let [sum, term] = [1, 1];
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** A low-pass filter of 2 · halfLength + 1 taps that sum to `up`, cut off at the lower of both Nyquist rates. */
function lowPass(halfLength: number, up: number, down: number): Float64Array {
  const cutoff = 1 / Math.max(up, down);
  const taps = Float64Array.from({ length: 2 * halfLength + 1 }, (_, i) => {
    const x = (i - halfLength) * cutoff * Math.PI;
    const window = bessel0(KAISER_BETA * Math.sqrt(1 - ((i - halfLength) / halfLength) ** 2)) / bessel0(KAISER_BETA);
    return (x === 0 ? 1 : Math.sin(x) / x) * window;
  });
  const sum = taps.reduce((total, tap) => total + tap, 0);
  return taps.map((tap) => (tap * up) / sum);
}

/** Every row at another rate (Hz), anti-aliased; beyond its ends it goes on with its mean slope. */
export function resample(rows: Float32Array[], rate: number, newRate: number): Float32Array[] {
  if (rate === newRate) return rows;
  const [up, down] = nearestFraction(newRate / rate);
  const halfLength = 10 * Math.max(up, down);
  const taps = lowPass(halfLength, up, down);
  const reach = Math.ceil(halfLength / up) + 1;
  return rows.map((row) => {
    const last = row.length - 1;
    const slope = (row[last] - row[0]) / last;
    const extended = Float64Array.from({ length: row.length + 2 * reach }, (_, i) => {
      const place = i - reach;
      return place < 0 ? row[0] + place * slope : place > last ? row[last] + (place - last) * slope : row[place];
    });
    return Float32Array.from({ length: Math.ceil((row.length * up) / down) }, (_, k) => {
      const centre = k * down + halfLength;
      let sum = 0;
      for (let j = Math.ceil((centre - 2 * halfLength) / up); j <= centre / up; j++) {
        sum += taps[centre - j * up] * extended[j + reach];
      }
      return sum;
    });
  });
}

/** Go's spelling of floats: `strconv.FormatFloat(v, 'f' | 'e' | 'g', -1, 64)` and Prometheus's JSON values. */

/**
 * As Prometheus writes a sample value into JSON: shortest digits, plain notation for 1e-6 ≤ |v| < 1e21 and for 0,
 * exponent of at least two digits outside.
 */
export function formatValue(value: number): string {
  if (Number.isInteger(value) && value < 1e15 && value > -1e15) return Object.is(value, -0) ? "-0" : `${value}`;
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  const text = `${value}`;
  const e = text.indexOf("e");
  // V8 writes 1e-7, Go 1e-07. Both change notation at the same places.
  return e >= 0 && text.length - e === 3 ? `${text.slice(0, e + 2)}0${text[e + 2]}` : text;
}

/** `FormatFloat(v, 'f', -1, 64)`: never an exponent. */
export function formatPlain(value: number): string {
  if (!Number.isFinite(value)) return formatValue(value);
  if (Object.is(value, -0)) return "-0";
  const [mantissa, exponent] = `${value}`.split("e") as [string, string | undefined];
  if (exponent === undefined) return mantissa;
  const sign = mantissa.startsWith("-") ? "-" : "";
  const [whole, fraction = ""] = mantissa.replace("-", "").split(".") as [string, string | undefined];
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  return `${sign}${digits.padEnd(point, "0")}`;
}

/** `FormatFloat(v, 'g', -1, 64)`, and `%g` and `%v` of a float: an exponent below 1e-4 and from 1e6. */
export function formatG(value: number): string {
  if (!Number.isFinite(value)) return formatValue(value);
  const absolute = Math.abs(value);
  if (value === 0 || (absolute >= 1e-4 && absolute < 1e6)) return formatPlain(value);
  return formatE(value);
}

/** `%.Ng`: so many significant digits, trailing zeros left out. */
export function formatDigits(value: number, digits: number): string {
  if (!Number.isFinite(value)) return formatValue(value);
  const rounded = Number(value.toPrecision(digits));
  const exponent = rounded === 0 ? 0 : Number(rounded.toExponential().split("e")[1]);
  return exponent < -4 || exponent >= digits ? formatE(rounded) : formatPlain(rounded);
}

/** `FormatFloat(v, 'e', -1, 64)`: 1.5e+06. */
export function formatE(value: number): string {
  if (!Number.isFinite(value)) return formatValue(value);
  const [mantissa, exponent] = value.toExponential().split("e") as [string, string];
  const digits = exponent.slice(1);
  return `${Object.is(value, -0) ? "-0" : mantissa}e${exponent[0]}${digits.padStart(2, "0")}`;
}

/**
 * Go's `strconv.ParseFloat`: decimal and hexadecimal, `inf`, `infinity`, `nan` in any case, single underscores between
 * digits and behind `0x`. @returns undefined when the text is no number; overflow gives ±Infinity.
 */
export function parseGoFloat(text: string): number | undefined {
  const special = /^([+-]?)(inf|infinity|nan)$/i.exec(text);
  if (special !== null) {
    if (special[2]!.toLowerCase() === "nan") return special[1] === "" ? NaN : undefined;
    return special[1] === "-" ? -Infinity : Infinity;
  }
  const plain = withoutUnderscores(text);
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain)) return Number(plain);
  const hex = /^([+-]?)0x([0-9a-f]*)(?:\.([0-9a-f]*))?p([+-]?\d+)$/i.exec(plain);
  if (hex === null || (hex[2] === "" && (hex[3] ?? "") === "")) return undefined;
  const fraction = hex[3] ?? "";
  const mantissa = Number(BigInt(`0x0${hex[2]!}${fraction}`));
  const value = mantissa * 2 ** (Number(hex[4]) - 4 * fraction.length);
  return hex[1] === "-" ? -value : value;
}

/** The text without its underscores, or as it is when one of them stands where it may not. */
function withoutUnderscores(text: string): string {
  const isHex = /^[+-]?0x/i.test(text);
  const misplaced = isHex ? /(?<!^[+-]?0x|[0-9a-f])_|_(?![0-9a-f])/i : /(?<!\d)_|_(?!\d)/;
  return misplaced.test(text) ? text : text.replaceAll("_", "");
}

/** Numbers of scripts, as Go reads them: an integer of any base if it is one (`0755` is octal), else a float. */
import { parseGoFloat } from "#libs/model/float.ts";

const BASED = /^0(?:[xX](?:_?[0-9a-fA-F])+|[bB](?:_?[01])+|[oO](?:_?[0-7])+)$/;

/** Undefined when the text is no number. */
export function parseNumber(text: string): number | undefined {
  const sign = text.startsWith("-") ? -1 : 1;
  const digits = text.replace(/^[+-]/, "");
  const plain = digits.replaceAll("_", "");
  if (BASED.test(digits)) return sign * Number(plain);
  if (/^0(?:_?[0-7])+$/.test(digits)) return sign * Number(`0o${plain}`);
  if (/^[1-9](?:_?\d)+$/.test(digits)) return sign * Number(plain);
  return parseGoFloat(text);
}

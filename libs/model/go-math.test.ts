import { describe, expect, test } from "vitest";
import { exp2, ldexp, log2 } from "./go-math.ts";

// Results of Go 1.26 on amd64.
describe("log2", () => {
  const check = (x: number, expected: number): void => test(`${x}`, () => expect(log2(x)).toBe(expected));
  check(10, 3.321928094887362);
  check(0.7071067811865475, -0.5000000000000001);
  check(2 ** -1074, -1074);
  check(2 ** 1023, 1023);
  check(0, -Infinity);
  check(Infinity, Infinity);
  check(-1, NaN);
  check(NaN, NaN);
});

describe("exp2", () => {
  const check = (x: number, expected: number): void => test(`${x}`, () => expect(exp2(x)).toBe(expected));
  check(0.3, 1.2311444133449163);
  check(-3, 0.125);
  check(1023.9999999999999, 1.7976931348621742e308);
  check(1024, Infinity);
  check(-1073.5, 5e-324);
  check(-1075, 0);
  check(NaN, NaN);
});

describe("ldexp", () => {
  const check = (fraction: number, exponent: number, expected: number): void =>
    test(`${fraction} · 2^${exponent}`, () => expect(ldexp(fraction, exponent)).toBe(expected));
  check(0.75, 2, 3);
  check(0.5, 1024, 2 ** 1023);
  check(1, 1024, Infinity);
  check(1, 5000, Infinity);
  check(1, -1074, 5e-324);
  // Halfway between 0 and the smallest float goes to the even one, more than that up.
  check(0.5, -1074, 0);
  check(0.5000000000000001, -1074, 5e-324);
  check(0.999, -9999, 0);
});

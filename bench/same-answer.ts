/** Whether two servers answered alike: the order of series and the last digits of floats are free. */

/** 2.42 adds without compensation, 3.x with: sums differ in the last digits. */
const TOLERANCE = 1e-9;

interface Answer {
  readonly data: unknown[] | { readonly result: readonly Series[] };
}

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly values?: readonly (readonly [number, string])[];
}

/** The first difference of two answers of the API, in words. */
export function difference(ours: string, theirs: string): string | undefined {
  const [a, b] = [ours, theirs].map((text) => (JSON.parse(text) as Answer).data);
  if (Array.isArray(a) || Array.isArray(b)) return differenceOfLists(a as unknown[], b as unknown[]);
  const [mine, other] = [byLabels(a!.result), byLabels(b!.result)];
  for (const key of other.keys()) if (!mine.has(key)) return `${key} is missing`;
  for (const [key, series] of mine) {
    const wanted = other.get(key);
    if (wanted === undefined) return `${key} is too much`;
    const [points, wantedPoints] = [pointsOf(series), pointsOf(wanted)];
    if (points.length !== wantedPoints.length) return `${key}: ${points.length} points, not ${wantedPoints.length}`;
    for (const [i, [time, value]] of points.entries()) {
      const [wantedTime, wantedValue] = wantedPoints[i]!;
      if (time !== wantedTime) return `${key}: a point at ${time}, not ${wantedTime}`;
      if (!isClose(Number(value), Number(wantedValue))) return `${key} at ${time}: ${value}, not ${wantedValue}`;
    }
  }
  return undefined;
}

function differenceOfLists(a: readonly unknown[], b: readonly unknown[]): string | undefined {
  const [mine, other] = [a, b].map((list) => list.map(textOf).sort());
  const at = other!.findIndex((text, i) => mine![i] !== text);
  if (at >= 0) return `${mine![at] ?? "nothing"}, not ${other![at]}`;
  return mine!.length > other!.length ? `${mine![other!.length]} is too much` : undefined;
}

function textOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return JSON.stringify(Object.entries(value).sort(([x], [y]) => (x < y ? -1 : 1)));
}

function byLabels(list: readonly Series[]): Map<string, Series> {
  return new Map(list.map((series) => [textOf(series.metric), series]));
}

function pointsOf({ value, values }: Series): readonly (readonly [number, string])[] {
  return values ?? (value === undefined ? [] : [value]);
}

function isClose(a: number, b: number): boolean {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) && Number.isNaN(b);
  return a === b || Math.abs(a - b) <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b));
}

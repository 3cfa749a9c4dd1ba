/** Results and expectations in reports, in the notation of scripts. */
import { formatDuration } from "#libs/kit/duration.ts";
import { formatValue as formatFloat } from "#libs/model/float.ts";
import { formatLabels } from "#libs/model/labels.ts";
import { formatHistogramLiteral } from "#libs/model/native-histogram/text.ts";
import type { ExpectedSeries, ExpectedValue } from "./eval-command.ts";
import type { Point, Result, ResultSeries } from "./result.ts";
import type { SequenceValue } from "./series-description.ts";

export function formatValue(value: Result | ExpectedValue): string {
  switch (value.type) {
    case "scalar":
      return `scalar ${formatFloat(value.value)}`;
    case "string":
      return `string ${JSON.stringify(value.value)}`;
    case "series": {
      const all = [...value.series.values()].map(formatExpected).join("; ");
      return all === "" ? "no series" : all;
    }
    case "vector":
    case "matrix":
      return `${value.type} ${value.series.length === 0 ? "without series" : value.series.map(formatSeries).join("; ")}`;
  }
}

export function formatExpected({ labels, values }: ExpectedSeries): string {
  return `${formatLabels(labels)} ${values.map(formatItem).join(" ")}`;
}

export function formatSeries({ labels, points }: ResultSeries): string {
  return `${formatLabels(labels)} ${formatPoints(points)}`;
}

export function formatPoints(points: readonly Point[]): string {
  return points.length === 1
    ? formatPoint(points[0]!)
    : points.map((point) => `${formatPoint(point)} @${formatDuration(point.timeMs)}`).join(", ");
}

export function formatPoint(point: Point): string {
  return formatItem(point.kind === "histogram" ? { ...point, hintGiven: true } : point);
}

export function formatItem(value: SequenceValue): string {
  switch (value.kind) {
    case "omitted":
      return "no value";
    case "stale":
      return "stale";
    case "float":
      return formatFloat(value.value);
    case "histogram":
      return formatHistogramLiteral(value.histogram);
  }
}

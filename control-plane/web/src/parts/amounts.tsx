import { useFormat } from "../format/use-format.ts";
import { useNow } from "./now.ts";

/** Money in dollars; the units behind it show on hover. */
export function Usd({ units }: { units: number }) {
  const { usd, units: unitsText } = useFormat();
  return (
    <span className="figures" title={unitsText(units)}>
      {usd(units)}
    </span>
  );
}

/** A moment as time of day; everything about it shows on hover. */
export function Clock({ at }: { at: string }) {
  const { clock, moment } = useFormat();
  const now = useNow(60_000);
  return (
    <time className="figures" dateTime={at} title={moment(at)}>
      {clock(at, now)}
    </time>
  );
}

/** How long ago, or in how long; the moment itself shows on hover. */
export function Ago({ at }: { at: string }) {
  const { relative, moment } = useFormat();
  const now = useNow(10_000);
  return (
    <time dateTime={at} title={moment(at)}>
      {relative(at, now)}
    </time>
  );
}

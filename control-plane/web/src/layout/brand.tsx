import { Link } from "@tanstack/react-router";
import { useSiteName } from "../api/status.ts";

/** The sign and the name of the site; leads home. */
export function Brand({ size = 28 }: { size?: number }) {
  return (
    <Link to="/" className="brand">
      <img src="/favicon.svg" alt="" width={size} height={size} />
      {useSiteName()}
    </Link>
  );
}

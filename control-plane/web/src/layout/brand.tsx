import { Link } from "@tanstack/react-router";
import { useSiteName } from "../api/status.ts";
import sign from "./sign.svg";

/** The sign and the name of the site; leads home. */
export function Brand({ size = 28 }: { size?: number }) {
  return (
    <Link to="/" className="brand">
      <img src={sign} alt="" width={size} height={size} />
      {useSiteName()}
    </Link>
  );
}

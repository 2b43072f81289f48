import { useEffect } from "react";
import { useSiteName } from "../api/status.ts";

/** Names the page in the tab of the browser. */
export function usePageTitle(title: string): void {
  const site = useSiteName();
  useEffect(() => {
    document.title = `${title} · ${site}`;
  }, [title, site]);
}

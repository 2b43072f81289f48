import type { ReactNode } from "react";
import { usePageTitle } from "./page-title.ts";

interface PageHeadProps {
  title: string;
  lead?: string;
  /** What can be done here. */
  children?: ReactNode;
}

/** The head of a page: what it is about, and what can be done on it. */
export function PageHead({ title, lead, children }: PageHeadProps) {
  usePageTitle(title);
  return (
    <div className="page-head">
      <div>
        <h1>{title}</h1>
        {lead && <p>{lead}</p>}
      </div>
      {children && <div className="row">{children}</div>}
    </div>
  );
}

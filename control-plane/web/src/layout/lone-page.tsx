import type { ReactNode } from "react";
import { Brand } from "./brand.tsx";
import { BuildBanner } from "./build-banner.tsx";
import { usePageTitle } from "./page-title.ts";
import { LanguageSwitch, ThemeSwitch } from "./switches.tsx";

interface LonePageProps {
  title: string;
  /** What the page is for, in a sentence. */
  lead?: string;
  children: ReactNode;
}

/** A page of one card: set-up and sign-in. */
export function LonePage({ title, lead, children }: LonePageProps) {
  usePageTitle(title);
  return (
    <div className="lone">
      <div>
        <BuildBanner />
        <div className="lone-tools">
          <LanguageSwitch />
          <ThemeSwitch />
        </div>
      </div>
      <main className="lone-card">
        <div className="lone-head">
          <Brand size={36} />
          <h1>{title}</h1>
          {lead && <p>{lead}</p>}
        </div>
        <div className="card">{children}</div>
      </main>
    </div>
  );
}

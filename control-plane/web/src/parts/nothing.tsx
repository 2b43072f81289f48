import type { ReactNode } from "react";

interface NothingProps {
  title: string;
  children?: ReactNode;
}

/** An empty list: what would be here, and what brings it here. */
export function Nothing({ title, children }: NothingProps) {
  return (
    <div className="nothing">
      <strong>{title}</strong>
      {children}
    </div>
  );
}

import { useNavigate } from "@tanstack/react-router";
import { Modal } from "antd";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

const PAIR_MILLIS = 1_200;

/** Where `g` and a letter lead. */
export const JUMPS = { o: "/", r: "/requests", t: "/tokens", c: "/channels" } as const;

/** What a key means, given the one before it. */
export type Shortcut = { to: (typeof JUMPS)[keyof typeof JUMPS] } | "help" | "search" | "pair" | undefined;

/** Reads a key. Pairs begin with `g`. */
export function shortcutOf(key: string, isPairOpen: boolean): Shortcut {
  if (isPairOpen && key in JUMPS) return { to: JUMPS[key as keyof typeof JUMPS] };
  if (key === "g") return "pair";
  if (key === "?") return "help";
  if (key === "/") return "search";
  return undefined;
}

/** Keys for people who do not like the mouse. Quiet while something is typed or a dialog is open. */
export function Shortcuts({ isAdmin }: { isAdmin: boolean }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [isHelpOpen, setHelpOpen] = useState(false);
  const pairOpenUntil = useRef(0);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      const shortcut = shortcutOf(event.key, Date.now() < pairOpenUntil.current);
      pairOpenUntil.current = shortcut === "pair" ? Date.now() + PAIR_MILLIS : 0;
      if (shortcut === "help") setHelpOpen(true);
      if (shortcut === "search") {
        const field = document.querySelector<HTMLInputElement>("main input[type=search]");
        if (field) event.preventDefault();
        field?.focus();
      }
      if (typeof shortcut === "object" && (isAdmin || shortcut.to !== JUMPS.c)) navigate({ to: shortcut.to });
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [navigate, isAdmin]);

  const keys: [string, string][] = [
    ["g o", t("nav.overview")],
    ["g r", t("nav.requests")],
    ["g t", t("nav.tokens")],
    ...(isAdmin ? [["g c", t("nav.channels")] as [string, string]] : []),
    ["/", t("keys.search")],
    ["?", t("keys.help")],
  ];
  return (
    <Modal open={isHelpOpen} title={t("keys.title")} footer={null} width={360} onCancel={() => setHelpOpen(false)}>
      <dl className="facts">
        {keys.map(([key, does]) => (
          <div key={key} style={{ display: "contents" }}>
            <dt>
              <kbd className="mono">{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target.closest("input, textarea, select, [role=dialog], [role=menu]") !== null;
}

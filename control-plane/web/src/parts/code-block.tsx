import { CopyButton } from "./copy-button.tsx";

/** Code to copy. */
export function CodeBlock({ code, what }: { code: string; what: string }) {
  return (
    <div className="code">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section className="code-scroll" tabIndex={0} aria-label={what}>
        <pre>
          <code>{code}</code>
        </pre>
      </section>
      <CopyButton className="copy" text={code} what={what} />
    </div>
  );
}

/** One line to copy: an address, a key. */
export function CopyLine({ text, what }: { text: string; what: string }) {
  return (
    <div className="copy-line">
      <code>{text}</code>
      <CopyButton text={text} what={what} />
    </div>
  );
}

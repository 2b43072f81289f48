import { CopyButton } from "./copy-button.tsx";

/** Code in lines of its own length; what is too wide scrolls. */
export function CodeBlock({ code, what }: { code: string; what: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section className="code" tabIndex={0} aria-label={what}>
      <pre>
        <code>{code}</code>
      </pre>
    </section>
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

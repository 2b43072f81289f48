import { Select, Tabs } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useBaseUrl } from "../api/status.ts";
import { CodeBlock, CopyLine } from "../parts/code-block.tsx";
import { CopyButton } from "../parts/copy-button.tsx";
import { useFreshKey } from "../tokens/fresh-key.ts";
import { useKnownModels } from "./known-models.ts";
import { curl, type Filling, KEY_PLACEHOLDER, node, python } from "./snippets.ts";

const SNIPPETS: { key: string; label: string; write: (filling: Filling) => string }[] = [
  { key: "curl", label: "curl", write: curl },
  { key: "python", label: "Python", write: python },
  { key: "node", label: "Node.js", write: node },
];

/** Where programs connect, and the first request to copy. */
export function ConnectCard() {
  const { t } = useTranslation();
  const baseUrl = useBaseUrl();
  const freshKey = useFreshKey();
  const { usable } = useKnownModels();
  const [chosen, setChosen] = useState<string>();
  const model =
    chosen !== undefined && usable.includes(chosen) ? chosen : (usable[0] ?? t("connect.model_placeholder"));
  const filling = { baseUrl, key: freshKey ?? KEY_PLACEHOLDER, model };
  return (
    <section className="card stack" id="connect" aria-labelledby="connect-title">
      <h2 id="connect-title">{t("connect.title")}</h2>
      <div className="stack-tight">
        <span className="muted">{t("connect.base_url")}</span>
        <CopyLine text={baseUrl} what={t("connect.base_url")} />
      </div>
      {usable.length > 1 && (
        // biome-ignore lint/a11y/noLabelWithoutControl: the select renders the field
        <label className="stack-tight">
          <span className="muted">{t("connect.model")}</span>
          <Select
            showSearch
            value={model}
            onChange={setChosen}
            options={usable.map(name => ({ value: name, label: name }))}
          />
        </label>
      )}
      <Snippets filling={filling} />
      <p className="muted">
        {freshKey ? t("connect.fresh_key") : t("connect.placeholder_key", { placeholder: KEY_PLACEHOLDER })}
      </p>
    </section>
  );
}

function Snippets({ filling }: { filling: Filling }) {
  const { t } = useTranslation();
  const [shown, setShown] = useState("curl");
  const snippets = SNIPPETS.map(({ key, label, write }) => ({
    key,
    label,
    code: write(filling),
    what: t("connect.snippet", { language: label }),
  }));
  const current = snippets.find(snippet => snippet.key === shown);
  return (
    <div className="snippets">
      <Tabs
        size="small"
        activeKey={shown}
        onChange={setShown}
        items={snippets.map(({ key, label, code, what }) => ({
          key,
          label,
          children: <CodeBlock code={code} what={what} />,
        }))}
      />
      {/* beside the tabs but not among them: a list of tabs holds tabs only */}
      <div className="snippets-copy">{current && <CopyButton text={current.code} what={current.what} />}</div>
    </div>
  );
}

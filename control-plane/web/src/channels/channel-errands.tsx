import { ExperimentOutlined } from "@ant-design/icons";
import { App, Button, Dropdown, Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import { type Channel, usePatchChannel } from "../api/channels.ts";
import { type Errand, type ErrandKind, useErrand, useTestAll, useTestKeys, type Wish } from "../api/errands.ts";
import { asProblem } from "../api/problem.ts";
import { useFormat } from "../format/use-format.ts";
import { useOutcomeMessage } from "../parts/outcome-message.tsx";
import { useProblemText } from "../parts/problem-text.ts";

const SHOWN_SECS = 6;
const LOOKUPS: readonly ErrandKind[] = ["models", "balance"];

/** Has a relay try a channel: test it, with any of its keys, fetch its upstream's models, ask what is left of the money. */
export function ChannelErrands({ channel }: { channel: Channel }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const errand = useErrand();
  const testKeys = useTestKeys();
  const textOf = useProblemText();
  const tellModels = useModelsFound(channel);
  const tellOther = useResultMessage(channel);
  const tellKeys = useKeysMessage(channel);
  const { id, keys } = channel;
  const isPending = errand.isPending || testKeys.isPending;

  const guarded = async (trying: Promise<void>) => {
    try {
      await trying;
    } catch (thrown) {
      const { title, detail, requestId } = textOf(asProblem(thrown));
      message.error([title, detail, requestId].filter(Boolean).join(" · "), SHOWN_SECS);
    }
  };
  const run = async (wish: Wish) => {
    const told = await errand.mutateAsync(wish);
    if (told.result?.ok && told.result.models) tellModels(told.result.models);
    else tellOther(told);
  };
  const item = (key: string, label: string, trying: () => Promise<void>) => ({
    key,
    label,
    onClick: () => guarded(trying()),
  });
  const byKey = keys.map(key => item(`key-${key.id}`, key.key_hint, () => run({ kind: "test", id, key: key.id })));
  const all = item("keys", t("errands.test_keys"), async () => void tellKeys(await testKeys.mutateAsync(id)));
  const items = [
    item("test", t("errands.test"), () => run({ kind: "test", id })),
    ...(keys.length > 1 ? [{ key: "each", label: t("errands.test_key"), children: [...byKey, all] }] : []),
    ...LOOKUPS.map(kind => item(kind, t(`errands.${kind}`), () => run({ kind, id }))),
  ];
  return (
    <Dropdown trigger={["click"]} disabled={isPending} menu={{ items }}>
      <Tooltip title={t("errands.try")}>
        <Button
          type="text"
          size="small"
          icon={<ExperimentOutlined />}
          loading={isPending}
          aria-label={t("errands.try_what", { name: channel.name })}
        />
      </Tooltip>
    </Dropdown>
  );
}

/** Has relays test every channel in use. */
export function TestAll() {
  const { t } = useTranslation();
  const tell = useOutcomeMessage();
  const testAll = useTestAll();
  return (
    <Button loading={testAll.isPending} onClick={() => tell(testAll.mutateAsync(), t("errands.all_asked"))}>
      {t("errands.test_all")}
    </Button>
  );
}

/** How the last test of a channel went, and what was left of its money. */
export function LastChecks({ channel }: { channel: Channel }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { last_test: test, balance } = channel;
  return (
    <>
      {test && (
        <span className="muted" title={[format.moment(test.at), test.model, test.message].filter(Boolean).join("\n")}>
          {test.ok ? t("errands.passed", { time: format.duration(test.latency_ms) }) : t("errands.failed")}
        </span>
      )}
      {balance && (
        <span className="muted figures" title={format.moment(balance.at)}>
          {t("errands.left", { amount: balance.amount, currency: balance.currency })}
        </span>
      )}
    </>
  );
}

function useResultMessage({ name }: Channel) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const format = useFormat();
  return ({ result }: Errand) => {
    if (!result) return message.info(t("errands.goes_on", { name }), SHOWN_SECS);
    if (!result.ok) {
      const why = [result.message ?? result.error, result.status && `HTTP ${result.status}`, result.error_code];
      return message.error([t("errands.failed_what", { name }), ...why].filter(Boolean).join(" · "), SHOWN_SECS);
    }
    const { amount, currency, latency_ms: latency } = result;
    const text =
      amount && currency
        ? t("errands.left_what", { name, amount, currency })
        : t("errands.passed_what", { name, time: format.duration(latency) });
    return message.success(text, SHOWN_SECS);
  };
}

/** Says how many keys passed, and why the first that did not failed. */
function useKeysMessage({ name, keys }: Channel) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  return (errands: Errand[]) => {
    const failed = errands.find(errand => errand.result?.ok !== true);
    const text = t("errands.keys_passed", {
      name,
      passed: errands.filter(errand => errand.result?.ok).length,
      all: errands.length,
    });
    if (!failed) return message.success(text, SHOWN_SECS);
    const hint = keys.find(key => key.id === failed.key_id)?.key_hint;
    return message.error([text, hint, failed.result?.message].filter(Boolean).join(" · "), SHOWN_SECS);
  };
}

/** Offers to add what the upstream has and the channel does not serve. */
function useModelsFound(channel: Channel) {
  const { t } = useTranslation();
  const { modal, message } = App.useApp();
  const patch = usePatchChannel();
  const tell = useOutcomeMessage();
  const { id, name, models } = channel;
  return (found: string[]) => {
    const more = found.filter(model => !models.includes(model));
    if (more.length === 0) return message.info(t("errands.no_more", { name, number: found.length }), SHOWN_SECS);
    return modal.confirm({
      title: t("errands.found_title", { name, number: more.length }),
      content: <span className="mono">{more.join(", ")}</span>,
      okText: t("errands.add_models"),
      onOk: () =>
        tell(
          patch.mutateAsync({ id, patch: { models: [...models, ...more] } }),
          t("errands.models_added", { name, number: more.length }),
          () => void patch.mutateAsync({ id, patch: { models } }),
        ),
    });
  };
}

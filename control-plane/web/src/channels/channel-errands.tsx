import { ExperimentOutlined } from "@ant-design/icons";
import { App, Button, Dropdown, Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import { type Channel, usePatchChannel } from "../api/channels.ts";
import { type Errand, type ErrandKind, useErrand, useTestAll } from "../api/errands.ts";
import { asProblem } from "../api/problem.ts";
import { useFormat } from "../format/use-format.ts";
import { useOutcomeMessage } from "../parts/outcome-message.tsx";
import { useProblemText } from "../parts/problem-text.ts";

const SHOWN_SECS = 6;
const KINDS: readonly ErrandKind[] = ["test", "models", "balance"];

/** Has a relay try a channel: test it, fetch its upstream's models, ask what is left of the money. */
export function ChannelErrands({ channel }: { channel: Channel }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const errand = useErrand();
  const textOf = useProblemText();
  const tellModels = useModelsFound(channel);
  const tellOther = useResultMessage(channel);

  const run = async (kind: ErrandKind) => {
    try {
      const told = await errand.mutateAsync({ kind, id: channel.id });
      if (told.result?.ok && told.result.models) tellModels(told.result.models);
      else tellOther(told);
    } catch (thrown) {
      const { title, detail, requestId } = textOf(asProblem(thrown));
      message.error([title, detail, requestId].filter(Boolean).join(" · "), SHOWN_SECS);
    }
  };
  return (
    <Dropdown
      trigger={["click"]}
      disabled={errand.isPending}
      menu={{
        items: KINDS.map(kind => ({ key: kind, label: t(`errands.${kind}`) })),
        onClick: ({ key }) => run(KINDS.find(kind => kind === key) ?? "test"),
      }}
    >
      <Tooltip title={t("errands.try")}>
        <Button
          type="text"
          size="small"
          icon={<ExperimentOutlined />}
          loading={errand.isPending}
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

import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { CHANNELS_SHOWN, type Channel, channelsQuery, providersQuery } from "../api/channels.ts";
import { PageHead } from "../layout/page-head.tsx";
import { useKnownModels } from "../overview/known-models.ts";
import { type Column, DataTable } from "../parts/data-table.tsx";
import { Names } from "../parts/labels.tsx";
import { Late } from "../parts/late.tsx";
import { Nothing } from "../parts/nothing.tsx";
import { ProblemAlert } from "../parts/problem-alert.tsx";
import { AddChannel } from "./add-channel.tsx";
import { ChannelActions, ChannelState } from "./channel-actions.tsx";
import { TestAll } from "./channel-errands.tsx";
import { PriceMissing } from "./price-missing.tsx";

/** The ways to providers. */
export function ChannelsPage() {
  const { t } = useTranslation();
  const columns = useColumns();
  const channels = useQuery(channelsQuery);
  const rows = channels.data?.items;
  return (
    <>
      <PageHead title={t("nav.channels")} lead={t("channels.lead")}>
        <TestAll />
        <AddChannel isPrimary />
      </PageHead>
      {channels.error && <ProblemAlert problem={channels.error} onRetry={() => channels.refetch()} />}
      <Unpriced />
      <section className="card card-flush" aria-label={t("nav.channels")}>
        {channels.isPending && (
          <div style={{ padding: 20 }}>
            <Late rows={5} />
          </div>
        )}
        {rows?.length === 0 && (
          <Nothing title={t("channels.none")}>
            <span>{t("channels.none_text")}</span>
          </Nothing>
        )}
        {rows && rows.length > 0 && (
          <DataTable caption={t("nav.channels")} columns={columns} rows={rows} rowKey={row => row.id} />
        )}
      </section>
      {channels.data?.next_cursor && <p className="muted">{t("list_cut", { number: CHANNELS_SHOWN })}</p>}
    </>
  );
}

/** Models that channels serve and nobody may use, because they have no price. */
function Unpriced() {
  const { unpriced = [] } = useKnownModels();
  return <PriceMissing models={unpriced} />;
}

function useColumns(): Column<Channel>[] {
  const { t } = useTranslation();
  const providers = useQuery(providersQuery).data ?? [];
  const unpriced = new Set(useKnownModels().unpriced);
  const nameOf = (slug: string) => providers.find(provider => provider.slug === slug)?.name ?? slug;
  return [
    {
      key: "name",
      title: t("channels.name"),
      isLead: true,
      cell: row => (
        <span className="stack-tight" style={{ gap: 0 }}>
          <strong>{row.name}</strong>
          {row.base_url && <span className="muted mono">{row.base_url}</span>}
        </span>
      ),
    },
    {
      key: "provider",
      title: t("channels.provider"),
      cell: row => <span className="figures">{nameOf(row.provider)}</span>,
    },
    { key: "status", title: t("status.title"), isCorner: true, cell: row => <ChannelState channel={row} /> },
    {
      key: "models",
      title: t("channels.models"),
      isWide: true,
      cell: row => <Names names={row.models} most={3} marked={unpriced} mark={t("price.none")} />,
    },
    { key: "groups", title: t("channels.groups"), cell: row => <Names names={row.groups} most={3} /> },
    { key: "keys", title: t("channels.keys"), cell: row => <KeyHints channel={row} /> },
    { key: "priority", title: t("channels.priority"), isFigure: true, cell: row => row.priority },
    { key: "weight", title: t("channels.weight"), isFigure: true, cell: row => row.weight },
    {
      key: "actions",
      title: t("actions"),
      isTitleHidden: true,
      isWide: true,
      cell: row => <ChannelActions channel={row} />,
    },
  ];
}

function KeyHints({ channel }: { channel: Channel }) {
  const { t } = useTranslation();
  const { keys, key_hint: hint } = channel;
  if (keys.length === 0 || !hint) return <span className="muted">{t("channels.no_key")}</span>;
  const usable = keys.filter(key => key.status === "enabled").length;
  if (keys.length === 1) return <code className="mono muted">{hint}</code>;
  return (
    <span className="figures" title={keys.map(key => key.key_hint).join("\n")}>
      {t("channels.keys_usable", { usable, all: keys.length })}
    </span>
  );
}

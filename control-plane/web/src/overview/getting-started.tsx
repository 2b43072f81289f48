import { CheckOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Button } from "antd";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { channelsQuery } from "../api/channels.ts";
import { balanceQuery } from "../api/people.ts";
import { recentRequestsQuery } from "../api/requests.ts";
import { useIsAdmin, useIsRoot } from "../api/session.ts";
import { tokensQuery } from "../api/tokens.ts";
import { AddChannel } from "../channels/add-channel.tsx";
import { SetPrice } from "../channels/set-price.tsx";
import { AddToken } from "../tokens/add-token.tsx";
import { useFreshKey } from "../tokens/fresh-key.ts";
import { AddCredit } from "./add-credit.tsx";
import { useKnownModels } from "./known-models.ts";
import { isComplete, type Step, type StepName, stepsFrom } from "./progress.ts";
import { TryIt } from "./try-it.tsx";

/** The way to the first request; each step ticks itself off when it is done, wherever it was done. */
export function GettingStarted() {
  const { t } = useTranslation();
  const [state, setState] = useState<"unknown" | "shown" | "closed">("unknown");
  const steps = useSteps();
  // who has done everything long ago is not congratulated again
  if (steps && state === "unknown") setState(isComplete(steps) ? "closed" : "shown");
  if (!steps || state === "closed") return null;

  const done = steps.filter(step => step.isDone).length;
  return (
    <section className="card" aria-labelledby="start-title">
      <div className="card-head">
        <h2 id="start-title">{isComplete(steps) ? t("start.complete") : t("start.title")}</h2>
        <span className="muted">{t("start.progress", { done, all: steps.length })}</span>
      </div>
      <div className="progress" aria-hidden>
        <div style={{ width: `${(done / steps.length) * 100}%` }} />
      </div>
      <ol className="steps">
        {steps.map((step, place) => (
          <StepLine key={step.name} step={step} place={place + 1} />
        ))}
      </ol>
      {isComplete(steps) && (
        <div className="row" style={{ marginTop: 8 }}>
          <Button onClick={() => setState("closed")}>{t("start.close")}</Button>
        </div>
      )}
    </section>
  );
}

function useSteps(): Step[] | undefined {
  const isAdmin = useIsAdmin();
  const channels = useQuery({ ...channelsQuery, enabled: isAdmin }).data?.items;
  const { all, unpriced } = useKnownModels();
  const available = useQuery(balanceQuery).data?.quota_available;
  const [startedEmpty, setStartedEmpty] = useState(false);
  if (available !== undefined && available <= 0 && !startedEmpty) setStartedEmpty(true);
  return stepsFrom({
    isAdmin,
    enabledChannels: channels?.filter(channel => channel.status === "enabled").length,
    pricedModels: unpriced && all.length - unpriced.length,
    available,
    startedEmpty,
    tokens: useQuery(tokensQuery).data?.items.length,
    requests: useQuery(recentRequestsQuery).data?.items.length,
  });
}

function StepLine({ step, place }: { step: Step; place: number }) {
  const { t } = useTranslation();
  const state = step.isDone ? "done" : step.isCurrent ? "current" : "coming";
  return (
    <li
      className={`step step-${state}`}
      data-step={step.name}
      data-state={state}
      aria-current={step.isCurrent ? "step" : undefined}
    >
      <span className="step-mark">{step.isDone ? <CheckOutlined aria-label={t("start.done")} /> : place}</span>
      <span className="step-title">{t(`start.${step.name}`)}</span>
      {step.isCurrent && <div className="step-body">{BODIES[step.name]()}</div>}
    </li>
  );
}

const BODIES: Record<StepName, () => ReactNode> = {
  channel: () => <ChannelStep />,
  price: () => <PriceStep />,
  credit: () => <CreditStep />,
  token: () => <TokenStep />,
  request: () => <RequestStep />,
};

function ChannelStep() {
  const { t } = useTranslation();
  return (
    <>
      <span>{t("start.channel_text")}</span>
      <AddChannel isPrimary />
    </>
  );
}

function PriceStep() {
  const { t } = useTranslation();
  const { unpriced } = useKnownModels();
  const [first] = unpriced ?? [];
  return (
    <>
      <span>{t("start.price_text")}</span>
      {first && <SetPrice model={first} />}
    </>
  );
}

function CreditStep() {
  const { t } = useTranslation();
  const isRoot = useIsRoot();
  return (
    <>
      <span>{isRoot ? t("start.credit_text") : t("balance.empty_text")}</span>
      {isRoot && <AddCredit look="primary" />}
    </>
  );
}

function TokenStep() {
  const { t } = useTranslation();
  return (
    <>
      <span>{t("start.token_text")}</span>
      <AddToken isPrimary />
    </>
  );
}

function RequestStep() {
  const { t } = useTranslation();
  const key = useFreshKey();
  const { usable } = useKnownModels();
  const [model] = usable;
  if (!key || !model) {
    return (
      <span>
        {t("start.request_text")} <Link to="/tokens">{t("start.request_reveal")}</Link>
      </span>
    );
  }
  return (
    <>
      <span>{t("start.request_text")}</span>
      <TryIt apiKey={key} model={model} />
    </>
  );
}

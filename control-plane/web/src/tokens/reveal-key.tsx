import { EyeOutlined } from "@ant-design/icons";
import { useMutation } from "@tanstack/react-query";
import { App, Button, Tooltip } from "antd";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { asProblem } from "../api/problem.ts";
import { revealToken, type Token } from "../api/tokens.ts";
import { useProblemText } from "../parts/problem-text.ts";
import { keepFreshKey } from "./fresh-key.ts";
import { KeyShown } from "./key-shown.tsx";

const SignInAgain = lazy(() => import("../sign-in/sign-in-again.tsx"));

/** Shows the key of a token again; asks for the password when the sign-in is not fresh. */
export function RevealKey({ token }: { token: Token }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const textOf = useProblemText();
  const [mustProve, setMustProve] = useState(false);
  const reveal = useMutation({
    mutationFn: () => revealToken(token.id),
    onSuccess: keepFreshKey,
    onError: thrown => {
      const problem = asProblem(thrown);
      if (problem.code === "sign_in_again") setMustProve(true);
      else message.error(textOf(problem).title);
    },
  });
  const proved = () => {
    setMustProve(false);
    reveal.mutate();
  };
  return (
    <>
      <Tooltip title={t("tokens.reveal")}>
        <Button
          type="text"
          size="small"
          icon={<EyeOutlined />}
          aria-label={t("tokens.reveal_of", { name: token.name })}
          onClick={() => reveal.mutate()}
        />
      </Tooltip>
      {reveal.data && <KeyShown name={token.name} apiKey={reveal.data} onClose={reveal.reset} />}
      <Suspense>{mustProve && <SignInAgain onDone={proved} onClose={() => setMustProve(false)} />}</Suspense>
    </>
  );
}

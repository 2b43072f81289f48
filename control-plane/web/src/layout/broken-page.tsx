import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { noteOutdated } from "../api/build.ts";
import { ProblemAlert } from "../parts/problem-alert.tsx";

/** Instead of a page that could not be shown: never a blank one. A chunk that is gone means that the server has another build. */
export function BrokenPage({ error }: { error: unknown }) {
  const { t } = useTranslation();
  const isMissingChunk = error instanceof TypeError && /import|module|fetch/i.test(error.message);
  if (isMissingChunk) noteOutdated();
  return (
    <div className="page">
      <ProblemAlert problem={error} />
      <div>
        <Button type="primary" onClick={() => window.location.reload()}>
          {t("build.reload")}
        </Button>
      </div>
    </div>
  );
}

/** For an address that leads nowhere. */
export function MissingPage() {
  const { t } = useTranslation();
  return (
    <div className="page">
      <div className="nothing">
        <strong>{t("missing.title")}</strong>
        <a href="/">{t("missing.home")}</a>
      </div>
    </div>
  );
}

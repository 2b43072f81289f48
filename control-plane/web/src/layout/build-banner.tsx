import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { useIsOutdated } from "../api/build.ts";

/** Says that the server is another build, and offers to load its page. It never reloads by itself: there may be a form half filled in. */
export function BuildBanner() {
  const { t } = useTranslation();
  if (!useIsOutdated()) return null;
  return (
    <div className="banner" role="status">
      {t("build.changed")}
      <Button size="small" type="primary" onClick={() => window.location.reload()}>
        {t("build.reload")}
      </Button>
    </div>
  );
}

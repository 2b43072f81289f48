import { Skeleton } from "antd";
import { useTranslation } from "react-i18next";

/** Stands in for what is being loaded; shows after 200 ms only, so that quick answers do not flicker. */
export function Late({ rows = 3 }: { rows?: number }) {
  const { t } = useTranslation();
  return (
    <div className="late" role="status" aria-label={t("loading")}>
      <Skeleton active title={false} paragraph={{ rows }} />
    </div>
  );
}

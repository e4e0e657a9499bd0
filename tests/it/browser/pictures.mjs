// Not a test: the pictures of the documentation.

import { PAGE_MARIA, PAGE_DOCS, card, curl, logIn } from "./stage.mjs";

export const scenarios = {
  async pictures() {
    const first = await logIn(PAGE_MARIA);
    const asked = [["https://api.stripe.com/", "api.stripe.com"], ["http://api.github.com/repos/acme/site/pulls", "api.github.com", ["-d", "{}"]], ["https://xn--pypal-4ve.com/", "xn--pypal-4ve.com"]];
    for (const [url, host, more] of asked) {
      curl(url, "curl", more);
      await card(first, host).waitFor();
    }
    const sizes = [["page", { width: 1100, height: 1180 }, "light"], ["page-dark", { width: 1100, height: 1180 }, "dark"], ["page-narrow", { width: 390, height: 1000 }, "light"]];
    for (const [name, viewport, colorScheme] of sizes) {
      const page = await logIn(PAGE_MARIA, { viewport, colorScheme });
      await page.locator(".card").nth(2).waitFor();
      await page.keyboard.press("j");
      await page.screenshot({ path: `${PAGE_DOCS}/${name}.png` });
    }
  },
};

// Starts Swagger UI or ReDoc with the settings that the page carries in data-settings: no inline script is needed.
"use strict";

(function () {
  const place = document.querySelector("[data-settings]");
  const settings = JSON.parse(place.dataset.settings);

  function swagger() {
    const options = Object.assign({}, settings.parameters, {
      url: settings.url,
      presets: [SwaggerUIBundle.presets.apis],
    });
    if (settings.webhooksOnly) {
      // Without it the page would open with "No operations defined in spec!".
      options.plugins = [() => ({ wrapComponents: { operations: () => () => null } })];
    }
    if (settings.oauth2RedirectUrl) {
      options.oauth2RedirectUrl = new URL(settings.oauth2RedirectUrl, window.location.origin).href;
    }
    const ui = SwaggerUIBundle(options);
    if (settings.oauth) {
      ui.initOAuth(settings.oauth);
    }
  }

  if (settings.tool === "redoc") {
    Redoc.init(settings.url, { disableSearch: true }, place);
  } else {
    swagger();
  }
})();

"""A person with a browser, and one without: what a visitor does on the pages. Used by the tests of this folder."""

import json
import urllib.request
from dataclasses import dataclass
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit

from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from socialapp.tests.client import PASSWORD

PATIENCE = 15
MARK_AS_LEFT = "document.documentElement.dataset.left = 'yes'"
HAS_ARRIVED = "return !document.documentElement.dataset.left && document.readyState === 'complete'"
# Chromium's own pages, and what a page carries within itself.
WITHIN_THE_BROWSER = ("data", "blob", "chrome", "about")


@dataclass
class Visitor:
    """Drives a browser. `url` is the gateway's."""

    driver: WebDriver
    url: str

    def open(self, path: str) -> None:
        self.driver.get(path if path.startswith("http") else f"{self.url}{path}")

    def find(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def find_all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def link(self, text: str) -> WebElement:
        return self.driver.find_element(By.LINK_TEXT, text)

    @property
    def text(self) -> str:
        return self.find("body").text

    @property
    def path(self) -> str:
        return urlsplit(self.driver.current_url).path

    def until(self, condition) -> object:
        """Wait for condition(driver) to hold; its value."""
        return WebDriverWait(self.driver, PATIENCE).until(condition)

    def go(self, element: WebElement) -> None:
        """Click on what leads to another page, and wait until that page is there with its scripts."""
        self.driver.execute_script(MARK_AS_LEFT)
        element.click()
        # While one page gives way to the next, any question may fail.
        wait = WebDriverWait(self.driver, PATIENCE, ignored_exceptions=[WebDriverException])
        wait.until(lambda driver: driver.execute_script(HAS_ARRIVED))

    def write(self, css: str, text: str) -> None:
        field = self.find(css)
        field.clear()
        field.send_keys(text)

    def log_in(self, username: str, path: str = "/auth/login/", password: str = PASSWORD) -> None:
        self.open(path)
        self.write("[name=username]", username)
        self.write("[name=password]", password)
        self.go(self.find("[type=submit]"))

    def requested_hosts(self) -> set[str]:
        """Every host that a page has asked for something since the last time that somebody asked this."""
        logged = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [entry["params"]["request"]["url"] for entry in logged if entry["method"] == "Network.requestWillBeSent"]
        return {urlsplit(url).hostname for url in sent if urlsplit(url).scheme not in WITHIN_THE_BROWSER}

    def errors(self) -> list[str]:
        """What the browser's console has complained of."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@dataclass
class Page:
    status: int
    headers: object
    body: str


class PlainVisitor:
    """Asks for pages as a browser does, with cookies, but without a browser."""

    def __init__(self, url: str):
        self.url, self.cookies = url, CookieJar()
        handlers = urllib.request.HTTPCookieProcessor(self.cookies), urllib.request.ProxyHandler({})
        self.opener = urllib.request.build_opener(*handlers)

    def open(self, path: str, form: dict | None = None, method: str | None = None, **headers: str) -> Page:
        body = urlencode(form).encode() if form is not None else None
        sent = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"} | headers
        request = urllib.request.Request(f"{self.url}{path}", body, sent, method=method)  # noqa: S310 our own gateway
        try:
            answer = self.opener.open(request, timeout=PATIENCE)
        except HTTPError as error:
            answer = error
        with answer:
            return Page(answer.status, answer.headers, answer.read().decode())

    def log_in(self, username: str) -> None:
        self.open("/auth/login/")
        token = next(cookie.value for cookie in self.cookies if cookie.name == "csrftoken")
        page = self.open(
            "/auth/login/", {"username": username, "password": PASSWORD, "csrfmiddlewaretoken": token, "next": ""}
        )
        assert page.status == 200 and username in page.body

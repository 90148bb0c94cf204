//! The variables that can be asked for, and the units in which they can be asked for.

use super::model::Weather;

/// One column of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variable {
    Temperature,
    RelativeHumidity,
    DewPoint,
    ApparentTemperature,
    Precipitation,
    Rain,
    WeatherCode,
    CloudCover,
    PressureMsl,
    WindSpeed,
    WindDirection,
    WindGusts,
    /// Known to the service, but not to this model: null in the unit `undefined`.
    Visibility,
    PrecipitationProbability,
}

impl Variable {
    const ALL: [Self; 14] = [
        Self::Temperature,
        Self::RelativeHumidity,
        Self::DewPoint,
        Self::ApparentTemperature,
        Self::Precipitation,
        Self::Rain,
        Self::WeatherCode,
        Self::CloudCover,
        Self::PressureMsl,
        Self::WindSpeed,
        Self::WindDirection,
        Self::WindGusts,
        Self::Visibility,
        Self::PrecipitationProbability,
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|variable| variable.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Temperature => "temperature_2m",
            Self::RelativeHumidity => "relative_humidity_2m",
            Self::DewPoint => "dew_point_2m",
            Self::ApparentTemperature => "apparent_temperature",
            Self::Precipitation => "precipitation",
            Self::Rain => "rain",
            Self::WeatherCode => "weather_code",
            Self::CloudCover => "cloud_cover",
            Self::PressureMsl => "pressure_msl",
            Self::WindSpeed => "wind_speed_10m",
            Self::WindDirection => "wind_direction_10m",
            Self::WindGusts => "wind_gusts_10m",
            Self::Visibility => "visibility",
            Self::PrecipitationProbability => "precipitation_probability",
        }
    }

    pub(super) fn unit(self, units: &Units) -> &'static str {
        match self {
            Self::Temperature | Self::DewPoint | Self::ApparentTemperature if units.fahrenheit => {
                "°F"
            }
            Self::Temperature | Self::DewPoint | Self::ApparentTemperature => "°C",
            Self::RelativeHumidity | Self::CloudCover => "%",
            Self::Precipitation | Self::Rain if units.inches => "inch",
            Self::Precipitation | Self::Rain => "mm",
            Self::WeatherCode => "wmo code",
            Self::PressureMsl => "hPa",
            Self::WindSpeed | Self::WindGusts => units.wind.name(),
            Self::WindDirection => "°",
            Self::Visibility | Self::PrecipitationProbability => "undefined",
        }
    }

    /// As the service prints it: so many digits, always.
    pub(super) fn value(self, weather: &Weather, units: &Units) -> Option<String> {
        let one = |number: f64| format!("{number:.1}");
        let degrees = |celsius: f64| {
            one(if units.fahrenheit {
                celsius * 1.8 + 32.0
            } else {
                celsius
            })
        };
        let rain = || {
            let digits = if units.inches { 3 } else { 2 };
            let amount = if units.inches {
                weather.precipitation / 25.4
            } else {
                weather.precipitation
            };
            format!("{amount:.digits$}")
        };
        let value = match self {
            Self::Temperature => degrees(weather.temperature),
            Self::RelativeHumidity => format!("{:.0}", weather.humidity),
            Self::DewPoint => degrees(weather.dew_point()),
            Self::ApparentTemperature => degrees(weather.apparent_temperature()),
            Self::Precipitation | Self::Rain => rain(),
            Self::WeatherCode => format!("{:.0}", weather.code()),
            Self::CloudCover => format!("{:.0}", weather.cloud_cover),
            Self::PressureMsl => one(weather.pressure),
            Self::WindSpeed => units.wind.text(weather.wind_speed),
            Self::WindDirection => format!("{:.0}", weather.wind_direction.floor()),
            Self::WindGusts => units.wind.text(weather.gusts()),
            Self::Visibility | Self::PrecipitationProbability => return None,
        };
        Some(if value.trim_start_matches(['-', '0', '.']).is_empty() {
            value.trim_start_matches('-').to_owned()
        } else {
            value
        })
    }
}

/// What a caller wants numbers in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Units {
    pub(super) fahrenheit: bool,
    pub(super) inches: bool,
    pub(super) wind: WindUnit,
}

/// The service's own default is km/h.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum WindUnit {
    #[default]
    Kmh,
    Ms,
    Mph,
    Kn,
}

impl WindUnit {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "kmh" => Some(Self::Kmh),
            "ms" => Some(Self::Ms),
            "mph" => Some(Self::Mph),
            "kn" => Some(Self::Kn),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Kmh => "km/h",
            Self::Ms => "m/s",
            Self::Mph => "mp/h",
            Self::Kn => "kn",
        }
    }

    fn text(self, metres_per_second: f64) -> String {
        match self {
            Self::Kmh => format!("{:.1}", metres_per_second * 3.6),
            Self::Ms => format!("{metres_per_second:.2}"),
            Self::Mph => format!("{:.1}", metres_per_second * 2.236_936),
            Self::Kn => format!("{:.1}", metres_per_second * 1.943_844),
        }
    }
}
